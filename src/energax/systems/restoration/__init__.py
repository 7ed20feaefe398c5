"""Restoration of damaged images by a trained generator, without training it again."""
