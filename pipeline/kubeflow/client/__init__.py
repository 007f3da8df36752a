"""What runs on the submitter's machine and talks to a cluster: KFP's API, Kubernetes, Argo."""
