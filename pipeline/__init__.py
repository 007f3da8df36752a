"""What joins the steps of `components` into a pipeline: parameters, runs, registry, Kubeflow, commands."""
