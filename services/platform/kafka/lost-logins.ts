import { isPassing } from './kafka-failure.ts'
import { mendClass } from './mend-class.ts'

type Connection = {
  sasl: object
  host: string
  port: number
  send(request: object): Promise<unknown>
  sendAuthRequest(request: object): Promise<unknown>
}
type Authenticator = { connection: Connection; authenticate(): Promise<void> }

/**
 * Mends how kafkajs takes a connection that is lost while it says who it is: for a refusal, which is never tried again. A consumer would end for
 * good, and a producer give up what it holds, whenever a broker goes away at that moment. It is what it is, a lost connection.
 * @throws {Error} when the library's insides are not those that this was written for
 */
export function mendLostLogins(): void {
  const harm = 'a broker that goes away could end its clients'
  mendClass<Authenticator>('broker/saslAuthenticator/index.js', ['authenticate'], harm, (prototype) => {
    const { authenticate } = prototype
    prototype.authenticate = async function () {
      const { connection } = this
      const { sasl, host, port } = connection
      let loss: unknown = null
      async function noting(answer: Promise<unknown>): Promise<unknown> {
        try {
          return await answer
        } catch (error) {
          if (isPassing(error)) loss = error
          throw error
        }
      }
      this.connection = {
        sasl,
        host,
        port,
        send: (request) => noting(connection.send(request)),
        sendAuthRequest: (request) => noting(connection.sendAuthRequest(request)),
      }
      try {
        await authenticate.call(this)
      } catch (error) {
        throw loss ?? error
      } finally {
        this.connection = connection
      }
    }
  })
}
