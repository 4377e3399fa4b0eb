"""From the files of a corpus to data directories: folders, archives, the mini corpus."""
