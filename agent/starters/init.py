"""Loaded at every start of the console and of `agent rules`; it is Python, and the API is in scope."""

from agent.api import *

# A hook is called for each new message, once, when its content is here.
#
# @on.message_new(folder="INBOX", match="from:boss@example.org")
# def flag_the_boss(event):
#     event.message.flag()

# A rule files mail: a query as you type it at /, and a function.
#
# @rule("list:python-dev", stop=True)
# def python_dev(message):
#     message.move("Lists/python-dev")

# Answer everybody once in a week, never lists, programs or yourself.
#
# vacation("I am away until 1 September and read my mail after that.", until="2026-09-01")

# A command of the : line, and a key for it. `,` is never bound: it is yours.
#
# @command("boss", key=",b", context="index")
# def boss():
#     "Count what the boss wrote"
#     print(inbox.search("from:boss@example.org is:unread").count())
