"""What runs in a step's pod, or in the local runner's process."""
