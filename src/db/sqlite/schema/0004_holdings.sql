-- What an index holds, told without counting its rows, and what came to it last.

-- One row for each index that ever held anything; the triggers keep it, whoever writes.
CREATE TABLE holdings (
    index_name TEXT    PRIMARY KEY,
    projects   INTEGER NOT NULL,
    files      INTEGER NOT NULL,
    bytes      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO holdings (index_name, projects, files, bytes)
SELECT index_name, sum(projects), sum(files), sum(bytes) FROM (
    SELECT index_name, 1 AS projects, 0 AS files, 0 AS bytes FROM projects
    UNION ALL
    SELECT index_name, 0, role = 'releasefile', size FROM files
) GROUP BY index_name;

CREATE TRIGGER holdings_project_added AFTER INSERT ON projects BEGIN
    INSERT INTO holdings (index_name, projects, files, bytes) VALUES (NEW.index_name, 1, 0, 0)
    ON CONFLICT (index_name) DO UPDATE SET projects = projects + 1;
END;

CREATE TRIGGER holdings_project_removed AFTER DELETE ON projects BEGIN
    UPDATE holdings SET projects = projects - 1 WHERE index_name = OLD.index_name;
END;

CREATE TRIGGER holdings_file_added AFTER INSERT ON files BEGIN
    INSERT INTO holdings (index_name, projects, files, bytes)
    VALUES (NEW.index_name, 0, NEW.role = 'releasefile', NEW.size)
    ON CONFLICT (index_name) DO UPDATE
    SET files = files + excluded.files, bytes = bytes + excluded.bytes;
END;

CREATE TRIGGER holdings_file_removed AFTER DELETE ON files BEGIN
    UPDATE holdings SET files = files - (OLD.role = 'releasefile'), bytes = bytes - OLD.size
    WHERE index_name = OLD.index_name;
END;

-- When a file came to this index; of rows from before this step it is taken for when it was first uploaded.
ALTER TABLE files ADD COLUMN arrived_at INTEGER;
CREATE INDEX files_by_arrival ON files (index_name, coalesce(arrived_at, uploaded_at))
    WHERE role = 'releasefile';
