CREATE TABLE settings (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    path TEXT NOT NULL UNIQUE,
    fingerprint TEXT NOT NULL
);

CREATE TABLE items (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    run INTEGER NOT NULL REFERENCES runs (id),
    line INTEGER NOT NULL,
    sample TEXT NOT NULL,
    judgements TEXT NOT NULL,
    pair TEXT NOT NULL,
    method TEXT NOT NULL,
    fooled INTEGER NOT NULL CHECK (fooled IN (0, 1)),
    judged INTEGER NOT NULL CHECK (judged IN (0, 1)),
    disputed INTEGER NOT NULL CHECK (disputed IN (0, 1)),
    place INTEGER NOT NULL,
    lot INTEGER NOT NULL,
    shared INTEGER NOT NULL DEFAULT 0 CHECK (shared IN (0, 1)),
    current INTEGER NOT NULL DEFAULT 1 CHECK (current IN (0, 1))
);

CREATE TABLE votes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    item INTEGER NOT NULL REFERENCES items (number),
    reviewer TEXT NOT NULL CHECK (length(reviewer) BETWEEN 1 AND 64),
    true_visible INTEGER CHECK (true_visible IN (0, 1)),
    target_visible INTEGER CHECK (target_visible IN (0, 1)),
    reasons TEXT NOT NULL DEFAULT '[]',
    note TEXT NOT NULL DEFAULT '',
    token TEXT NOT NULL CHECK (length(token) BETWEEN 1 AND 64),
    withdraws INTEGER UNIQUE REFERENCES votes (id),
    at TEXT NOT NULL,
    UNIQUE (reviewer, token)
);

CREATE INDEX votes_by_reviewer ON votes (reviewer, id);
CREATE INDEX votes_by_item ON votes (item, reviewer, id);

CREATE TRIGGER votes_never_change BEFORE UPDATE ON votes
BEGIN
    SELECT RAISE(ABORT, 'votes are only ever added');
END;

CREATE TRIGGER votes_never_go BEFORE DELETE ON votes
BEGIN
    SELECT RAISE(ABORT, 'votes are only ever added');
END;

CREATE TRIGGER votes_never_replaced BEFORE INSERT ON votes
WHEN EXISTS (
    SELECT 1 FROM votes
    WHERE id = NEW.id
        OR (reviewer = NEW.reviewer AND token = NEW.token)
        OR withdraws = NEW.withdraws
)
BEGIN
    SELECT RAISE(ABORT, 'votes are only ever added');
END;

CREATE TRIGGER items_never_go BEFORE DELETE ON items
BEGIN
    SELECT RAISE(ABORT, 'items are only ever added');
END;
