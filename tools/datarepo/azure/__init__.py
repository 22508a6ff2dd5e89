"""What Azure serves: blobs behind a SAS, and their downloads; knows nothing of DVC, git or archives."""
