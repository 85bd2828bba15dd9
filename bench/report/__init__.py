"""Records and claims to pages. The same suite and records give the same bytes on every machine: no clock, no chance, no torch.

`numbers` computes, `page` finds the words, `write` knows the formats; each uses only those before it.
"""
