"""The steps as a Kubeflow pipeline.

`definition` is compiled, `runtime` runs in a step's pod, `client` talks to a cluster from the submitter's
machine, and `local` runs the pipeline without a cluster.
"""
