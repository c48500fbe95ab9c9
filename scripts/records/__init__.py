"""Records of ranks as runs leave them, ours and those of the published system, and statistics of them."""
