"""The pipeline on Kubeflow: what is compiled, what runs in a step, how a run is submitted."""
