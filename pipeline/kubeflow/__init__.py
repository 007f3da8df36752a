"""The steps as a Kubeflow pipeline: `definition` is compiled, `runtime` runs in a step's pod, `client` talks to a cluster, `local` runs without one."""
