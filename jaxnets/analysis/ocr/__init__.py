"""Reading a page: find the letters, bring them to the classifier's form, and put the text together (report S2 Q4)."""
