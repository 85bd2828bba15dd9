"""Records and claims to pages: `numbers` computes, `page` finds words, `write` knows formats.

No clock, no chance and no torch: the same suite and records give the same bytes on every machine.
"""
