"""Real clients against real servers, each in a process of its own: what a wrong pin does to them.

``rows`` says which there are, ``scripts`` holds each one's recipe, ``run`` runs them,
``results.json`` keeps what came of it, and ``readme`` makes the README's table and recipes of both.
"""
