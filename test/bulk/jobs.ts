/** What the tests of bulk jobs share. */
import { expect } from "vitest";
import type { Answer, Api } from "../support/api.ts";
import { eventually } from "../support/eventually.ts";

type Json = Answer["body"];

/** Makes a job and expects that it is taken. */
export async function createJob(api: Api, job: object): Promise<Json> {
  const answer = await api.post("/webhooks/bulk-jobs", { ratePerSecond: 10_000, ...job });
  expect(answer.status, JSON.stringify(answer.body)).toBe(201);
  return answer.body;
}

export const readJob = async (api: Api, id: string): Promise<Json> => (await api.get(`/webhooks/bulk-jobs/${id}`)).body;

/** The job once it is in that state. */
export const jobIn = async (api: Api, id: string, state: string, withinMs?: number): Promise<Json> =>
  await eventually(
    `the job is ${state}`,
    async () => {
      const job = await readJob(api, id);
      return job.state === state && job;
    },
    withinMs,
  );

/** Makes a job and waits until it is done. */
export const runJob = async (api: Api, job: object): Promise<Json> =>
  await jobIn(api, (await createJob(api, job)).id, "done");
