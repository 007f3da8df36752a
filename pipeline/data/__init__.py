"""The data set: its version in `data.dvc`, DVC's cache and remotes, samples."""
