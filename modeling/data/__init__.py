"""What modelling reads of the lake, and how it is split in time."""
