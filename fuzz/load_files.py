"""
Locustfiles that the load child cannot use, each in its own way. Every one of them starts a real load child.
"""

from __future__ import annotations

from case import Case, Item

SOUND = "import locust\n\nclass One(locust.FastHttpUser):\n    @locust.task\n    def ask(self):\n        self.client.get('/')\n"
FILES = {
    "syntax error": SOUND + "def (:\n",
    "raises at import": "import locust\n\nraise RuntimeError('no such day')\n",
    "divides by zero in a function": "def f():\n    return 1 / 0\n\nf()\n",
    "imports what is not there": "import locust\nimport nobody_has_this\n",
    "never ends": "while True:\n    pass\n",
    "sleeps for ever": "import time\n\ntime.sleep(1e6)\n",
    "exits": "import sys\n\nsys.exit(7)\n",
    "exits well": "import sys\n\nsys.exit(0)\n",
    "leaves at once": "import os\n\nos._exit(3)\n",
    "no user": "import locust\n",
    "no task": "import locust\n\nclass One(locust.FastHttpUser):\n    pass\n",
    "two users of one name": SOUND + "\nOther = type('One', (locust.FastHttpUser,), {})\n",
    "abstract": SOUND + "    abstract = True\n",
    "writes to standard output": SOUND + "\nprint('hello', flush=True)\n",
    "writes half a message": SOUND + '\nprint(\'{"event": "ready", "self_test"\', flush=True)\n',
    "writes a message of another kind": SOUND + "\nprint('[1]', flush=True)\nprint('7', flush=True)\n",
    "writes bytes": SOUND + "\nimport sys\nsys.stdout.buffer.write(b'\\xff\\xfe\\n')\nsys.stdout.flush()\n",
    "closes standard output": SOUND + "\nimport os\nos.close(1)\n",
    "reads standard input": SOUND + "\nimport sys\nsys.stdin.readline()\n",
    "empty": "",
    "not Python": "\x01\x02\x03",
    "raises with no message": "raise KeyboardInterrupt\n",
    "recursion": "def f():\n    f()\n\nf()\n",
}
LEGAL = frozenset({  # what a file may do: a load that sends nothing is found out by its receipt, not here
    "no task", "writes to standard output", "writes half a message", "closes standard output",
    "writes a message of another kind", "writes bytes", "reads standard input",
})  # fmt: skip


def case(number: int) -> Case:
    name, text = list(FILES.items())[number]
    codes = (0,) if name in LEGAL else (2, 4)
    return Case(
        kind="", label=name, commands=(("@load", "locustfile.py"),), files={"locustfile.py": Item(data=text.encode())},
        codes=codes, names=("locustfile.py",),
    )  # fmt: skip
