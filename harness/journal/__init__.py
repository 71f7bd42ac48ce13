"""The journal: everything that happened in one run, in one SQLite file (format in schema.sql)."""

FORMAT = 1
FILE_NAME = "journal.db"
SPOOL_FOLDER = "spool"
