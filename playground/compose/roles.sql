-- Two roles for Quipu, neither of them a superuser: one owns what its migrations make, the other reads and writes below row security and owns nothing.
-- The passwords are read from the files that compose.yaml mounts.
\set owner_password `cat /run/secrets/postgres_owner_password`
\set login_password `cat /run/secrets/postgres_login_password`
CREATE ROLE quipu_owner LOGIN PASSWORD :'owner_password' NOSUPERUSER NOBYPASSRLS;
CREATE ROLE quipu_login LOGIN PASSWORD :'login_password' NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE;
CREATE DATABASE quipu OWNER quipu_owner;
\connect quipu
REVOKE ALL ON SCHEMA public FROM PUBLIC;
