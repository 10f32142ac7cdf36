"""What faces add to the training loop: views, augmentation, losses, contrastive pretraining."""
