"""The gate, the contexts and the verdict."""
