"""How it looks: pure functions from values to plotly figures. No fixed text, grid or trace colours beyond the one palette:
light and dark themes both must read well.
"""
