"""Options of a queue as lines of a file, in the manner of Kaldi's conf/queue.conf.

    command sbatch --parsable --wait      the program, with what every job gets
    option mem=* --mem=$0                 --mem 4G adds --mem=4G
    option gpu=0                          --gpu 0 adds nothing
    option gpu=* --gres=gpu:$0
    default time=24:00:00                 as if --time 24:00:00 were given

The line for the very value wins over the one for `*`, a later line over an earlier one. Words are
split as by a shell, which is not asked: nothing in such a file is run.
"""

import shlex
from pathlib import Path


class WrongTemplate(Exception):
    """A line that cannot be understood, or an option without a line."""


class Template:
    """The contents of the files: ``command`` (words), and options through ``words``."""

    def __init__(self, *paths):
        self.command, self.options, self.defaults, self.paths = [], {}, {}, []
        for path in map(Path, paths):
            self.paths.append(str(path))
            for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
                try:
                    self._read(line.strip())
                except ValueError as error:
                    raise WrongTemplate(f"{path}:{number}: {error}: {line!r}") from None

    def _read(self, line):
        if not line or line.startswith("#"):
            return
        kind, _, rest = line.partition(" ")
        if kind == "command":
            self.command = shlex.split(rest)
            if not self.command:
                raise ValueError("a program is needed")
            return
        setting, _, words = rest.strip().partition(" ")
        name, equals, value = setting.partition("=")
        if kind not in ("option", "default") or not equals or not name:
            raise ValueError("not 'command ...', 'option NAME=VALUE ...' or 'default NAME=VALUE'")
        if kind == "default":
            self.defaults[name] = value
        else:
            self.options[name, value] = shlex.split(words)

    def words(self, given):
        """Return the words for options ``given`` (name → text), the defaults included."""
        words = []
        for name, value in {**self.defaults, **given}.items():
            found = self.options.get((name, value), self.options.get((name, "*")))
            if found is None:
                raise WrongTemplate(
                    f"--{name} {value}: no line 'option {name}=*' in {' or '.join(self.paths)}"
                )
            words += [word.replace("$0", value) for word in found]
        return words
