"""What serving reads of a model's routing: batches, caches, placements."""
