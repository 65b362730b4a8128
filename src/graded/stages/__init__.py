"""One file a stage; dvc.yaml is the list of what runs. A stage never imports another."""
