"""Asking models questions by the thousand, so that no answer is ever asked for twice.

`local` answers with the engine in this process, `endpoint` over HTTP; both turn an
iterator of `Question`s into one of `Reply`s, in the order they are done. `parts` keeps
replies line by line as they come, `collecting` brings all of it together.
"""
