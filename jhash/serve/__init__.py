"""The search page: one index, served over HTTP to browsers and programs.

`server` runs what `application` makes of a `Collection`. A request passes `guard`, which lets in
what is safe, and reaches a function of `routes`. Queries wait in `batching` until a few of them are
answered at once, and `verifying` puts those results first that are the query's picture. The page
needs no script; `static/page.js` adds to it.

Its packages are those of the extra `serve`.
"""
