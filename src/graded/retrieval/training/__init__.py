"""Contrastive fine-tuning: objectives, masks, batches, negatives, the step over several processes, checkpoints."""
