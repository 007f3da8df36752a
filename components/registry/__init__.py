"""What the gate, the register step and people's commands know of the model registry: champion and history."""
