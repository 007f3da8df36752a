"""Parameters, command line and tracking: what joins the steps of `components` into a pipeline."""
