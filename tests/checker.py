"""How signatures are checked at run time: an integer is a number where a float is asked for, as in typing."""

from beartype import BeartypeConf, beartype

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
