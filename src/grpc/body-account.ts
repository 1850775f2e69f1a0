/** What a request holds of the memory that all of them share. */
export interface BodyAccount {
  /** Counts bytes before they are kept. What it throws is the answer. */
  take(bytes: number): void;
  /** Nothing more is awaited from the client. */
  complete(): void;
  /** The call has ended. */
  release(): void;
}
