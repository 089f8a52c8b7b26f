"""The web page: what the client and the command line show and do, for a browser.

It talks to the engine through a Client only, so it works with a server and with a journal in this process. HTML is made here,
every asset is in this package, and nothing depends on the one script, which refreshes what is shown. Needs the extra `page`.

Modules, lower first: `showing` (what a saga's description means, pure), `events` (a history in words, pure), `engine` (calls
with a bound on their time), `guarding` (who may do what), `rendering` (templates), `looking` and `acting` (the pages),
`application` (routes and errors), `serving` (the process).
"""
