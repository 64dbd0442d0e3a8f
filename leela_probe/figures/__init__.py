"""Tables of statistics to figures for print: drawing, diagrams of boards, the figures themselves.

Computes no statistics and loads without torch.
"""
