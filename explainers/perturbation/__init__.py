"""The engine of all methods that hide parts of an input and ask the model again.

`superpixels` say which part a pixel belongs to, `codes` which parts are shown, `masks` bring codes to pixels, `fill`
says what hides, `engine` asks, `stopping` says when enough was asked, `least_squares` and `ridge` solve.
"""
