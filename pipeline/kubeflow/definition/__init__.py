"""What is compiled: components, pipelines, their arguments and resources. It knows no server."""
