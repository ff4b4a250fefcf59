"""`table tables`: cells of mixed tables hidden and filled again, by ours and by rivals on the same masks."""
