"""`rasd adapt`: an encoder reads unlabelled text before it is fine-tuned."""
