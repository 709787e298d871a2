"""A local Stellar network and a sending anchor that uses Landfall: for demo and tests only."""
