"""Rails: the ways that money takes to a receiving client, one file each behind `base.Rail`."""
