/** First import of main.ts: zod would compile its checks from text, which the page's policy forbids; this must run before any schema. */
import { z } from 'zod'

z.config({ jitless: true })
