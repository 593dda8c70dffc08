"""KV caches for the decoder of `scratch`, in place of the one that grows."""
