-- What an index holds, told without counting its rows, and what came to it last.

-- One row for each index that ever held anything; the triggers keep it, whoever writes.
CREATE TABLE holdings (
    index_name TEXT   COLLATE "C" PRIMARY KEY,
    projects   BIGINT NOT NULL,
    files      BIGINT NOT NULL,
    bytes      BIGINT NOT NULL
);

INSERT INTO holdings (index_name, projects, files, bytes)
SELECT index_name, sum(projects)::bigint, sum(files)::bigint, sum(bytes)::bigint FROM (
    SELECT index_name, 1 AS projects, 0 AS files, 0::bigint AS bytes FROM projects
    UNION ALL
    SELECT index_name, 0, (role = 'releasefile')::int, size FROM files
) AS counted GROUP BY index_name;

CREATE FUNCTION holdings_of_projects() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO holdings (index_name, projects, files, bytes) VALUES (NEW.index_name, 1, 0, 0)
        ON CONFLICT (index_name) DO UPDATE SET projects = holdings.projects + 1;
    ELSE
        UPDATE holdings SET projects = projects - 1 WHERE index_name = OLD.index_name;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION holdings_of_files() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO holdings (index_name, projects, files, bytes)
        VALUES (NEW.index_name, 0, (NEW.role = 'releasefile')::int, NEW.size)
        ON CONFLICT (index_name) DO UPDATE
        SET files = holdings.files + excluded.files, bytes = holdings.bytes + excluded.bytes;
    ELSE
        UPDATE holdings
        SET files = files - (OLD.role = 'releasefile')::int, bytes = bytes - OLD.size
        WHERE index_name = OLD.index_name;
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER holdings_projects AFTER INSERT OR DELETE ON projects
    FOR EACH ROW EXECUTE FUNCTION holdings_of_projects();
CREATE TRIGGER holdings_files AFTER INSERT OR DELETE ON files
    FOR EACH ROW EXECUTE FUNCTION holdings_of_files();

-- When a file came to this index; of rows from before this step it is taken for when it was first uploaded.
ALTER TABLE files ADD COLUMN arrived_at BIGINT;
CREATE INDEX files_by_arrival ON files (index_name, (coalesce(arrived_at, uploaded_at)))
    WHERE role = 'releasefile';
