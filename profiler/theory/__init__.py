"""What physics says: FLOPs and bytes of a model's steps, memory, and the time that the ceilings allow."""
