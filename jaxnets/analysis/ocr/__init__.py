"""Reading a page: find the letters, convert them to the classifier's input, and assemble the text (report S2 Q4)."""
