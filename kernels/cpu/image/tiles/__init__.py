"""Large images, in tiles that fit into the cache and that all threads share; see `persistence.find_pairs_in_tiles`."""
