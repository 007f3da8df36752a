"""What tests have in common.

- `project`: a copy of this project in a folder of its own, on a subset of the data.
- `data_files`, `training`: small data sets and trainings of the step tests.
- `compiled`: the parts of a compiled pipeline.
- `image_build`: a repository and fake builders for `infra/image/build`.
- `ports`: free ports, and waiting for a server.
- `mlflow_server`: a real MLflow server.
- `s3_server`: real S3 servers, and a proxy that fails when it is told to.
- `json_server`, `kfp_server`, `kube_server`: the APIs of KFP and Kubernetes, as far as our commands use them;
  runs that a real KFP recorded are in `kfp_runs.json`.
- `kfp_fixtures`: fixtures of tests that talk to KFP.
- `watched_run`: a run of that server which is waited for.
- `manifests`: what kustomize makes of infra/kubernetes.
"""
