"""The page of a reproduced document."""
