-- What a write asks is found by a key, however much an index holds.

-- How versions of one release are all spelled when they are normalised: a release is found by it in
-- whatever spelling it is asked for. The program fills it in, of older rows when it opens the file.
ALTER TABLE releases ADD COLUMN normalised TEXT;
CREATE INDEX releases_by_normalised ON releases (index_name, project, normalised);
CREATE INDEX releases_not_normalised ON releases (version) WHERE normalised IS NULL;

-- Test results go when the file goes that they are about.
CREATE INDEX files_by_subject ON files (index_name, project, for_file) WHERE for_file IS NOT NULL;

-- What has become of a project since a serial; and what may have changed every project.
CREATE INDEX changes_by_project ON changes (index_name, project, serial) WHERE project IS NOT NULL;
CREATE INDEX changes_of_many ON changes (what, serial) WHERE project IS NULL;
